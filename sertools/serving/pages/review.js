"use strict";
const at = id => document.getElementById(id);
let items = [], classes = [], now = 0;

fetch("items").then(r => r.json()).then(all => {
  items = all.items; classes = all.classes;
  at("where").textContent = all.table;
  const choices = [...classes, ""];
  at("choices").replaceChildren(...choices.map((name, n) => {
    const button = document.createElement("button"), key = document.createElement("kbd");
    button.type = "button"; button.dataset.label = name; button.setAttribute("aria-pressed", "false");
    key.textContent = name ? n + 1 : 0; key.setAttribute("aria-hidden", "true"); button.setAttribute("aria-keyshortcuts", key.textContent);
    button.append(name || "cannot tell", key);
    button.addEventListener("click", () => give(name));
    return button;
  }));
  const open = items.findIndex(item => item.label === null);
  go(open < 0 ? 0 : open);
});

function go(number) {
  now = Math.max(0, Math.min(items.length - 1, number));
  const item = items[now];
  at("name").textContent = item.name;
  at("player").src = `audio/${now}`;
  at("comment").value = item.comment;
  at("error").hidden = true;
  show();
}

function show() {
  const item = items[now], done = items.filter(one => one.label !== null).length;
  at("place").textContent = `${now + 1} of ${items.length}; ${done} labelled`;
  document.querySelectorAll("#choices button").forEach(b => b.setAttribute("aria-pressed", String(item.label !== null && b.dataset.label === item.label)));
  at("back").disabled = now === 0; at("next").disabled = now === items.length - 1;
  at("told").textContent = item.label === null ? "" : `The system says ${item.recognised} (${Math.round(100 * item.probabilities[item.recognised])} %)` +
    (item.label && item.label !== item.recognised ? `; ${item.label} has ${Math.round(100 * item.probabilities[item.label])} %.` : ".");
}

// one after the other: a comment that has changed and the label that is clicked next are two
let sending = Promise.resolve();
function give(label) {
  const number = now, comment = at("comment").value;
  sending = sending.then(() => send(number, label, comment));
}

async function send(number, label, comment) {
  try {
    const answer = await fetch(`label/${number}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ label, comment }) });
    const values = await answer.json();
    if (!answer.ok) throw new Error(values.error);
    items[number] = values;
    if (number === now) show();
  } catch (error) { at("error").textContent = `Not saved: ${error.message}`; at("error").hidden = false; }
}

// what is written after the label is kept with it, and before it until there is one
at("comment").addEventListener("change", () => {
  const item = items[now];
  if (item.label === null) item.comment = at("comment").value; else give(item.label);
});
at("back").addEventListener("click", () => go(now - 1));
at("next").addEventListener("click", () => go(now + 1));
document.addEventListener("keydown", event => {
  if (event.target.id === "comment" || event.ctrlKey || event.metaKey || event.altKey) return;
  const player = at("player");
  if (event.key === " " && event.target.tagName !== "BUTTON" && event.target !== player) { event.preventDefault(); player.paused ? player.play() : player.pause(); }
  else if (event.key === "ArrowRight" && event.target !== player) go(now + 1);
  else if (event.key === "ArrowLeft" && event.target !== player) go(now - 1);
  else if (event.key === "0") give("");
  else if (/^[1-9]$/.test(event.key) && +event.key <= classes.length) give(classes[+event.key - 1]);
});
