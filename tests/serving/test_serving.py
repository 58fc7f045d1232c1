"""The page on this machine: tokens, hosts, recognition, review; and that its parts fit together."""

import csv
import io
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from chromium import PROGRAM, Chromium, axe

from sertools.errors import UserError
from sertools.partitions.target import Target
from sertools.prediction.apply import CourseConfig, EmotionModel
from sertools.prediction.audio import Source, file_source
from sertools.prediction.course import Course
from sertools.prediction.ensemble import Recognised

pytest.importorskip("starlette", reason="starlette is not installed (make env-serve)")
pytest.importorskip("httpx2", reason="httpx2 is not installed (make env-serve)")

from starlette.testclient import TestClient

from sertools.serving.app import PAGES, make_app
from sertools.serving.review import Review

RATE = 8000


class Loudness:
    """An ensemble that says how loud a recording is."""

    target, members, temperatures, trained_on = (
        Target("emotion", classes=("quiet", "loud")),
        ("one",),
        (None,),
        (frozenset[str](),),
    )
    sampling_rate, needs_speakers = RATE, False

    def recognise(self, source: Source, normal: object = None, course: CourseConfig | None = None) -> Recognised:
        samples = np.concatenate([block for block, _ in source.read()])
        p = float(np.abs(samples).max())
        values, envelope = np.array([1 - p, p]), np.stack([samples[::80], samples[::80]], 1)
        over_time = Course(np.array([0.5, 1.0]), np.stack([values, values]), 1.0, envelope, 0.01)
        return Recognised(len(samples) / RATE, RATE, values, over_time if course else None)


@pytest.fixture
def model() -> EmotionModel:
    return EmotionModel(Loudness())  # type: ignore[arg-type]


def wav(level: float, seconds: float = 1.5) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, level * np.sin(np.arange(round(seconds * RATE))), RATE, format="WAV")
    return out.getvalue()


def client_of(app: object, **options: str) -> TestClient:
    return TestClient(app, base_url="http://127.0.0.1:8000", follow_redirects=True, **options)  # type: ignore[arg-type]


def test_only_who_has_the_token(model: EmotionModel) -> None:
    app = make_app(model, "exp/<b>")
    paths = ["/", "/about", "/serve.js", "/style.css", "/?token=wrong"]
    client = client_of(app)
    assert [client.get(path).status_code for path in paths] == [403] * 5
    assert client.post("/recognise", content=wav(0.5)).status_code == 403
    page = client.get(f"/?token={app.state.token}")
    assert page.status_code == 200
    assert "token" not in str(page.url)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert client.get("/about").json() == {"title": "exp/<b>", "classes": ["quiet", "loud"], "members": 1}
    assert client.get("/about", headers={"host": "evil.example"}).status_code == 400
    assert client_of(make_app(model, "x")).get("/about").status_code == 403
    assert make_app(model, "x").state.token != app.state.token


def test_recognition(model: EmotionModel) -> None:
    app = make_app(model, "x", token="t" * 20)
    client = client_of(app)
    client.get("/", params={"token": "t" * 20})
    found = client.post("/recognise", content=wav(0.75)).json()
    assert found["label"] == "loud"
    assert found["probabilities"]["loud"] == pytest.approx(0.75, abs=1e-3)
    assert found["course"]["times"] == [0.5, 1.0]
    assert len(found["waveform"]["low"]) == 150
    bad = client.post("/recognise", content=b"nonsense")
    assert bad.status_code == 400
    assert "cannot be read as audio" in bad.json()["error"]


def test_review(model: EmotionModel, tmp_path: Path) -> None:
    levels = {"sure": 0.95, "unsure": 0.55, "less": 0.3, "same": 0.9}
    for name, level in levels.items():
        (tmp_path / f"{name}.wav").write_bytes(wav(level))
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    sources = [file_source(path) for path in sorted(tmp_path.glob("*.wav"))]
    table = tmp_path / "labels.csv"
    review = Review(model, sources, table, below=0.92)
    assert [Path(item.source.name).stem for item in review.items] == ["unsure", "less", "same"]
    assert [Path(name).stem for name in review.left_out] == ["broken"]
    client = client_of(make_app(model, "x", token="t" * 20, review=review))
    client.get("/", params={"token": "t" * 20})
    items = client.get("/items").json()["items"]
    assert [item["label"] for item in items] == [None] * 3
    assert "recognised" not in items[0]
    assert soundfile.info(io.BytesIO(client.get("/audio/1").content)).frames == 12000
    given = client.post("/label/0", json={"label": "quiet", "comment": 'a,\n"b"'}).json()
    assert (given["recognised"], given["label"]) == ("loud", "quiet")
    assert client.post("/label/0", json={"label": "angry"}).status_code == 400
    assert client.post("/label/7", json={"label": "quiet"}).status_code == 400
    for sent in (b"", b"{", b"[1]", b"\xff", b"[" * 100_000, b'"' + b"x" * (2 << 20) + b'"', b'{"label": {"a": 1}}'):
        answer = client.post("/label/0", content=sent)
        assert (answer.status_code, list(answer.json())) == (400, ["error"]), sent[:20]
    client.post("/label/1", json={"label": ""})
    rows = list(csv.DictReader(table.open()))
    assert [(Path(row["file"]).stem, row["label"], row["recognised"]) for row in rows] == [
        ("unsure", "quiet", "loud"), ("less", "", "quiet")
    ]  # fmt: skip
    assert rows[0]["comment"] == 'a, "b"'
    again = Review(model, sources, table)
    assert [item["label"] for item in again.plain()] == ["quiet", "", None, None]
    table.write_text("a,b\n")
    with pytest.raises(UserError, match="is another table"):
        Review(model, sources, table)


def test_the_pages_parts_fit() -> None:
    for name in ("serve", "review"):
        page, script = (PAGES / f"{name}.html").read_text(), (PAGES / f"{name}.js").read_text()
        ids = set(re.findall(r'id="([^"]+)"', page))
        assert set(re.findall(r'at\("([^"]+)"\)', script)) <= ids
        assert "http" not in page + script
        assert page.count("<h1>") == 1
        assert 'lang="en"' in page
        # what has a field has words for it
        for field in re.findall(r'<input id="([^"]+)"', page):
            assert f'for="{field}"' in page


@pytest.mark.parametrize("sent", [b"", b"RIFF", b"not speech", b"\0" * 5000, wav(0.5)[:60], b"fLaC" + b"\xff" * 300])
def test_what_is_no_speech_is_refused_in_a_sentence(model: EmotionModel, sent: bytes) -> None:
    client = client_of(make_app(model, "x", token="t" * 20))
    client.get("/", params={"token": "t" * 20})
    answer = client.post("/recognise", content=sent)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])


# -- in a browser

RULES = axe()
in_browser = pytest.mark.skipif(PROGRAM is None or RULES is None, reason="needs chromium and axe-core (make env-serve)")


@contextmanager
def served(app: object, folder: Path) -> Iterator[Chromium]:
    """A browser that has opened the address of a server that runs."""
    import uvicorn

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))  # type: ignore[arg-type]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with Chromium(folder / "profile") as browser:
                browser.open(f"http://127.0.0.1:{listening.getsockname()[1]}/?token={'t' * 20}")
                yield browser
                assert browser.problems == []
        finally:
            server.should_exit = True
            thread.join()


def fits_and_is_accessible(browser: Chromium) -> bool:
    for width in (1280, 420):
        browser.size(width)
        assert browser.run("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert browser.violations(str(RULES)) == []
    return True


def text(name: str) -> str:
    return f"document.getElementById('{name}').textContent"


@in_browser
def test_a_file_and_a_recording_in_a_browser(model: EmotionModel, tmp_path: Path) -> None:
    (tmp_path / "speech.wav").write_bytes(wav(0.75))
    (tmp_path / "notes.txt").write_text("no speech")
    with served(make_app(model, "exp/<b>", token="t" * 20), tmp_path) as browser:
        browser.until(f"{text('title')} === 'exp/<b>'")
        assert fits_and_is_accessible(browser)
        assert "token" not in browser.run("location.href")
        browser.key("Tab")
        assert browser.run("document.activeElement.id") == "file", "the first that a key reaches"
        field = browser("DOM.querySelector", nodeId=browser("DOM.getDocument")["root"]["nodeId"], selector="#file")
        browser("DOM.setFileInputFiles", files=[str(tmp_path / "speech.wav")], **field)
        browser.until(f"{text('answer')} === 'loud, 75 %'")
        assert browser.run("document.querySelectorAll('#legend li').length") == 2
        assert browser.run("document.querySelectorAll('#table tr').length") == 3
        browser.run("document.querySelector('summary').click()")
        assert fits_and_is_accessible(browser)
        # the browser's microphone beeps; the button is pressed by its key
        browser.run("document.getElementById('record').focus()")
        browser.key("Enter", text="\r")
        browser.until(f"{text('record')} === 'Stop'")
        time.sleep(1.2)
        # else the answer for the file would do
        browser.run("document.getElementById('answer').textContent = ''")
        browser.key("Enter", text="\r")
        browser.until(f"/^(quiet|loud), /.test({text('answer')}) && {text('record')} === 'Record'")
        browser("DOM.setFileInputFiles", files=[str(tmp_path / "notes.txt")], **field)
        browser.until("!document.getElementById('error').hidden")
        assert "cannot be read as audio" in browser.run(text("error"))
        # that a request was refused is in the browser's own log, too
        browser.problems = [line for line in browser.problems if "status of 400" not in line]


@in_browser
def test_a_review_by_keys(model: EmotionModel, tmp_path: Path) -> None:
    for name, level in (("a", 0.55), ("b", 0.9)):
        (tmp_path / f"{name}.wav").write_bytes(wav(level))
    sources = [file_source(path) for path in sorted(tmp_path.glob("*.wav"))]
    review = Review(model, sources, tmp_path / "labels.csv")
    with served(make_app(model, "x", token="t" * 20, review=review), tmp_path) as browser:
        browser.until(f"{text('place')} === '1 of 2; 0 labelled'")
        assert fits_and_is_accessible(browser)
        assert browser.run(text("told")) == "", "what the system says sways nobody"
        browser.key("1")
        browser.until(f"{text('told')} === 'The system says loud (55 %); quiet has 45 %.'")
        # a comment after the label is kept with it, and digits in it are no labels
        browser.run("document.getElementById('comment').focus()")
        browser("Input.insertText", text="2 voices")
        browser.key("2")
        browser.run("document.getElementById('next').focus()")
        browser.until(f"{text('place')} === '1 of 2; 1 labelled'")
        browser.key("ArrowRight")
        browser.until(f"{text('place')} === '2 of 2; 1 labelled'")
        browser.key("0")
        browser.until(f"{text('place')} === '2 of 2; 2 labelled'")
        # a comment and the label that is clicked next are two; the label is last, however slow the first is
        browser.run("""{
            const fetched = window.fetch;
            let slow = true;
            window.fetch = (...given) => {
                const wait = slow ? 300 : 0;
                slow = false;
                return new Promise(ready => setTimeout(ready, wait)).then(() => fetched(...given));
            };
            const comment = document.getElementById('comment');
            comment.value = 'late';
            comment.dispatchEvent(new Event('change'));
            document.querySelector('#choices button').click();
        }""")
        browser.until(f"{text('told')}.startsWith('The system says ')")
        time.sleep(0.5)
    rows = list(csv.DictReader((tmp_path / "labels.csv").open()))
    assert [(Path(row["file"]).stem, row["label"], row["comment"]) for row in rows] == [
        ("a", "quiet", "2 voices2"), ("b", "quiet", "late")
    ]  # fmt: skip
