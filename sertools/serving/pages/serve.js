"use strict";
const at = id => document.getElementById(id);
// told apart by people who see colours differently (Okabe and Ito), and by dashes
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a7500"];
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
let found = null;

fetch("about").then(r => r.json()).then(about => { at("title").textContent = about.title; });

function fail(text) { at("answer").textContent = ""; at("error").textContent = text; at("error").hidden = false; }

async function recognise(blob) {
  at("error").hidden = true;
  at("answer").textContent = "Listening …";
  const player = at("player");
  if (player.src) URL.revokeObjectURL(player.src);
  player.src = URL.createObjectURL(blob);
  let answer;
  try { answer = await fetch("recognise", { method: "POST", body: blob }); } catch { fail("The program is not running any more."); return; }
  if (!answer.ok) { fail(answer.status === 400 ? (await answer.json()).error : `The program answers ${answer.status}.`); return; }
  found = await answer.json();
  show();
}

function dashed(colour, dashes) {
  let place = 0;
  const parts = dashes.map((length, k) => `${k % 2 ? "transparent" : colour} ${place}px ${place += length}px`);
  return parts.length ? `repeating-linear-gradient(90deg, ${parts})` : colour;
}

function percent(p) { return `${Math.round(100 * p)} %`; }

function show() {
  at("result").hidden = false;
  at("answer").textContent = `${found.label}, ${percent(found.probabilities[found.label])}` + (found.words === null ? "" : `: “${found.words}”`);
  const names = Object.keys(found.probabilities);
  at("legend").replaceChildren(...names.map((name, n) => {
    const li = document.createElement("li"), mark = document.createElement("span");
    mark.style.background = dashed(COLOURS[n % COLOURS.length], DASHES[n % DASHES.length]);
    li.append(mark, `${name} ${percent(found.probabilities[name])}`);
    return li;
  }));
  at("notes").replaceChildren(...found.notes.map(text => { const li = document.createElement("li"); li.textContent = `It ${text}.`; return li; }));
  const table = at("table"), rows = [["seconds", ...names]], every = Math.max(1, Math.ceil(found.course.times.length / 200));
  found.course.times.forEach((time, n) => { if (n % every === 0) rows.push([time.toFixed(1), ...found.course.probabilities[n].map(p => p.toFixed(2))]); });
  table.replaceChildren(...rows.map((cells, n) => {
    const tr = document.createElement("tr");
    tr.append(...cells.map((text, k) => { const cell = document.createElement(n === 0 || k === 0 ? "th" : "td"); cell.textContent = text; if (n === 0) cell.scope = "col"; else if (k === 0) cell.scope = "row"; return cell; }));
    return tr;
  }));
  draw();
}

function draw() {
  if (!found) return;
  const canvas = at("plot"), scale = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  canvas.width = width * scale; canvas.height = height * scale;
  const c = canvas.getContext("2d");
  c.scale(scale, scale); c.clearRect(0, 0, width, height);
  const left = 34, bottom = 22, top = 6, w = width - left - 8, h = height - bottom - top;
  const x = t => left + w * t / found.seconds, y = p => top + h * (1 - p);
  const peak = Math.max(1e-3, ...found.waveform.high, ...found.waveform.low.map(v => -v));
  c.fillStyle = "#d3d8df";
  const n = found.waveform.low.length;
  found.waveform.low.forEach((low, i) => { const high = found.waveform.high[i]; c.fillRect(left + w * i / n, top + h / 2 - h / 2 * high / peak, Math.max(w / n, 1), Math.max(h / 2 * (high - low) / peak, 1)); });
  c.fillStyle = "#3c4654"; c.font = "12px system-ui, sans-serif"; c.strokeStyle = "#e3e7ec"; c.lineWidth = 1;
  for (const p of [0, .5, 1]) { c.beginPath(); c.moveTo(left, y(p)); c.lineTo(left + w, y(p)); c.stroke(); c.fillText(String(p), 6, y(p) + 4); }
  const step = [.5, 1, 2, 5, 10, 30, 60, 300, 600].find(s => found.seconds / s <= 10) || 1800;
  for (let t = 0; t <= found.seconds; t += step) c.fillText(`${t} s`, x(t), height - 6);
  Object.keys(found.probabilities).forEach((name, k) => {
    c.strokeStyle = COLOURS[k % COLOURS.length]; c.lineWidth = 2.2; c.setLineDash(DASHES[k % DASHES.length]); c.beginPath();
    found.course.times.forEach((t, i) => c[i ? "lineTo" : "moveTo"](x(t), y(found.course.probabilities[i][k])));
    if (found.course.times.length === 1) { c.moveTo(left, y(found.course.probabilities[0][k])); c.lineTo(left + w, y(found.course.probabilities[0][k])); }
    c.stroke();
  });
  c.setLineDash([]);
  const now = at("player").currentTime;
  if (now > 0) { c.strokeStyle = "#b3261e"; c.lineWidth = 1.5; c.beginPath(); c.moveTo(x(now), top); c.lineTo(x(now), top + h); c.stroke(); }
}
window.addEventListener("resize", draw);
at("player").addEventListener("timeupdate", draw);
at("plot").addEventListener("click", event => { if (found) at("player").currentTime = Math.max(0, (event.offsetX - 34) / (at("plot").clientWidth - 42) * found.seconds); });

at("file").addEventListener("change", event => { if (event.target.files.length) recognise(event.target.files[0]); event.target.value = ""; });
at("file").addEventListener("focus", () => document.querySelector("label.file").style.outline = "3px solid #d55e00");
at("file").addEventListener("blur", () => document.querySelector("label.file").style.outline = "");
const drop = at("drop");
for (const kind of ["dragover", "dragenter"]) document.addEventListener(kind, event => { event.preventDefault(); drop.classList.add("over"); });
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", event => { event.preventDefault(); drop.classList.remove("over"); if (event.dataTransfer.files.length) recognise(event.dataTransfer.files[0]); });

// a browser records in formats that few programs read: what is sent is a WAV file
let recorder = null;
at("record").addEventListener("click", async () => {
  const button = at("record");
  if (recorder) { recorder.stop(); return; }
  let stream;
  try { stream = await navigator.mediaDevices.getUserMedia({ audio: true }); } catch (error) { fail(`The microphone cannot be used: ${error.message}`); return; }
  const parts = [];
  recorder = new MediaRecorder(stream);
  recorder.addEventListener("dataavailable", event => parts.push(event.data));
  recorder.addEventListener("stop", async () => {
    recorder = null; button.textContent = "Record"; button.classList.remove("on");
    stream.getTracks().forEach(track => track.stop());
    try {
      const context = new AudioContext(), audio = await context.decodeAudioData(await new Blob(parts).arrayBuffer());
      recognise(wav(audio.getChannelData(0), audio.sampleRate)); context.close();
    } catch { fail("Nothing was recorded."); }
  });
  recorder.start(); button.textContent = "Stop"; button.classList.add("on");
});

function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length)), text = (place, letters) => [...letters].forEach((l, n) => view.setUint8(place + n, l.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); text(8, "WAVEfmt "); view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); view.setUint16(22, 1, true); view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true); text(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((v, n) => view.setInt16(44 + 2 * n, Math.max(-1, Math.min(1, v)) * 32767, true));
  return new Blob([view], { type: "audio/wav" });
}
