# make demo and make test are all that is needed; each makes the environments it uses.
SHELL := /bin/bash
unexport CDPATH
.DEFAULT_GOAL := help
PYTEST_ARGS ?=
# two tests at a time; PYTEST_ARGS="-n 0" one after the other
PYTEST := python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# of the two environments the one that this machine's GPU wants, if there is one
WHICH = $(shell utils/which_env.sh)

.PHONY: help env env-full env-modern env-ssl env-ssl-modern env-opensmile env-opensmile-modern env-serve demo demo-s4 demo-modern run-demo benchmark test test-quick test-full test-modern test-lhotse test-next lint docs env-docs clean

help:
	@echo "make demo         a complete experiment on synthetic speech, from corpus to results page"
	@echo "make demo-s4      after it: acoustic-to-word recognition, and emotion with it"
	@echo "make demo-modern  the same in the second environment, without k2"
	@echo "make benchmark    many systems on several corpora, one table: CORPORA=\"ravdess=DIR nemo=DIR cremad=DIR\""
	@echo "                  with public models BACKBONE=\"DIR ...\", with networks of your own PRETRAINED=\"DIR ...\" or SPEECH=\"NAME=CUTS\""
	@echo "make test         lint, types and tests, in both environments, and some with lhotse's next release"
	@echo "make test-quick   tests of less than two minutes: files, settings, folds, networks, languages, scores"
	@echo "make env          the environment for this machine: env-modern where nvidia-smi shows an H100 or later, else env-full"
	@echo "make env-full     the default environment, .venv: torch 1.13.1, k2, kaldifeat"
	@echo "make env-modern   the second environment, .venv-modern: torch 2.13.0, kaldifeat, no k2"
	@echo "make env-ssl      adds transformers, for self-supervised models (env-ssl-modern: to .venv-modern)"
	@echo "make env-opensmile  adds openSMILE's functionals (licence: research, not commercial; env-opensmile-modern)"
	@echo "make env-serve    adds starlette and uvicorn, for sertools serve"
	@echo "make lint         ruff, mypy and shellcheck alone"
	@echo "make docs         the documentation as a site: docs/_build/index.html"
	@echo "make test-full, make test-modern   the tests of one environment (PYTEST_ARGS=... is passed on)"
	@echo "make test-lhotse  some of them with lhotse's next release before that of .venv-modern"
	@echo "make test-next    more of them with the newest packages and the newest Python here, in .venv-next"
	@echo "make clean        remove the environments; data/ and exp/ in egs/ are yours"

env:
	@utils/make_env.sh $(WHICH)

env-full:
	@utils/make_env.sh full

env-modern:
	@utils/make_env.sh modern

env-ssl: env
	@utils/add_extra.sh ssl $(WHICH)

env-opensmile: env
	@utils/add_extra.sh opensmile $(WHICH)

env-serve: env
	@utils/add_extra.sh serve $(WHICH)

env-opensmile-modern: env-modern
	@utils/add_extra.sh opensmile modern

env-ssl-modern: env-modern
	@utils/add_extra.sh ssl modern

env-docs: env-full
	@utils/add_extra.sh docs

docs: env-docs
	.venv/bin/python -m sphinx -q -W --keep-going -b html docs docs/_build
	@echo "the documentation: docs/_build/index.html"

demo: env
	@$(MAKE) --no-print-directory run-demo

demo-modern: env-modern
	@SERTOOLS_ENV="$(CURDIR)/.venv-modern" $(MAKE) --no-print-directory run-demo

run-demo:
	cd egs/tedlium2 && ./run.sh --stop-stage 8
	cd egs/iemocap && ./run.sh
	cd egs/iemocap && ./run.sh --stage 2 --stop-stage 7 --pretrained none --ivectors "" --choose-on-dev "" \
	  --system pooled_mfcc --protocol arousal --num-seeds 1
	@echo "arousal as a number: egs/iemocap/exp/demo_pooled_mfcc_arousal/results/report.html"
	@echo "the comparison: egs/iemocap/exp/demo_comparison_paper_from_demo_tdnnf_demo/comparison.html"

demo-s4: env
	cd egs/tedlium2 && ./run.sh --stage 9
	cd egs/iemocap && ./run_s4.sh --num-seeds 1
	@echo "the comparison: egs/iemocap/exp/demo_comparison_s4_s4_from_demo_a2w_demo/comparison.html"

# CORPORA="NAME=DIR ..."; without it on demo corpora.  BACKBONE="DIR ...": public speech models, whose layers S3 reads.
# PRETRAINED="DIR ...": networks of egs/tedlium2, which S1's systems are carried from.  With SPEECH="NAME=CUTS ..." also
# over minutes of pretraining, and all of S1's systems are carried from what was pretrained so (from the controls of random
# weights those that run_pretraining.sh carries; every experiment has its row in the table).
# OPTIONS: those of egs/benchmark/run.sh, which go over these; PRETRAINING: options of run_pretraining.sh.
# Folders are found from here or from egs/benchmark.
GIVEN_FOLDERS = $(foreach one,$(CORPORA),$(lastword $(subst =, ,$(one)))) $(BACKBONE) $(PRETRAINED)
benchmark: env-opensmile $(if $(BACKBONE),env-ssl)
	@for one in $(GIVEN_FOLDERS); do \
	  [ -e "$$one" ] || [ -e "egs/benchmark/$$one" ] || { echo "make benchmark: there is no $$one" >&2; exit 2; }; done
ifneq ($(SPEECH),)
	rm -f egs/benchmark/exp/pretrained_networks
	egs/benchmark/run_pretraining.sh --speech "$(SPEECH)" --corpora "$(CORPORA)" $(PRETRAINING)
ifneq ($(filter --submit,$(PRETRAINING)),)
	@echo "When these jobs are done, run make benchmark with the same words, but without --submit: what is trained is kept"
else
	networks=$$(utils/carried_networks.sh $(PRETRAINED)) && egs/benchmark/run.sh --corpora "$(CORPORA)" \
	  --backbone "$(BACKBONE)" --pretrained "$$networks" $(OPTIONS)
	@echo "the table: egs/benchmark/exp/benchmark/benchmark.html"
endif
else
	egs/benchmark/run.sh --corpora "$(CORPORA)" --backbone "$(BACKBONE)" --pretrained "$(PRETRAINED)" $(OPTIONS)
	@echo "the table: egs/benchmark/exp/benchmark/benchmark.html"
endif

test: lint test-full test-modern test-lhotse

# what a change breaks most often, in the first environment; the whole is make test
QUICK := $(wildcard tests/test_*.py) tests/local tests/partitions tests/runs tests/models tests/lang tests/evaluation \
  tests/recipes/test_stages.py
test-quick: env-full
	.venv/bin/$(PYTEST) -q -m "not recipe and not slurm and not shared" $(PYTEST_ARGS) $(QUICK)

lint: env-full
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	git ls-files -z '*.sh' path.sh .ci/run | xargs -0 .venv/bin/shellcheck

test-full: env-full
	@for extra in ssl opensmile serve docs; do utils/add_extra.sh $$extra || exit 1; done
	.venv/bin/$(PYTEST) $(PYTEST_ARGS)

# most recipes and Slurm have run in the full environment, and what knows no package: launch.py, recipe.sh, the locks,
# the documents; here what depends on torch, lhotse and k2
ALIKE := tests/utils tests/security/test_locks.py tests/mutation tests/test_docs.py
test-modern: env-ssl-modern env-opensmile-modern
	FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-200} .venv-modern/bin/$(PYTEST) -m "(not recipe or modern) and not slurm" $(ALIKE:%=--ignore=%) $(PYTEST_ARGS)

# what is next for the second environment, before its own: lhotse's next release, on Python 3.11 (requirements/README.md)
LHOTSE := tests/test_manifests.py tests/features/test_store.py tests/features/test_kinds.py tests/features/frames tests/data \
  tests/corpora/test_ravdess.py tests/emotion/test_experiment.py tests/features/test_features_on_cuda.py
.venv-lhotse/made: requirements/next.txt | env-modern
	rm -rf .venv-lhotse
	.venv-modern/bin/python -m pip install -q --no-deps --target .venv-lhotse "$$(grep '^lhotse==' $<)"
	touch $@
test-lhotse: env-ssl-modern .venv-lhotse/made
	@PYTHONPATH=.venv-lhotse .venv-modern/bin/python -c 'import lhotse; print("lhotse", lhotse.__version__, lhotse.__file__)'
	PYTHONPATH="$(CURDIR)/.venv-lhotse" .venv-modern/bin/$(PYTEST) -q -W default::DeprecationWarning -W default::FutureWarning \
	  -m "not shared" $(PYTEST_ARGS) $(LHOTSE)

# the newest packages on the newest Python here, without k2 and kaldifeat: what they will break; PYTHON_NEXT names a Python
PYTHON_NEXT ?= $(shell for p in python3.14 python3.13 python3.12 python3.11; do \
  $$p -c 'import venv, ensurepip' 2> /dev/null && echo $$p && break; done)
NEXT := $(LHOTSE) tests/test_environment.py tests/test_fake_cuda.py tests/lfmmi tests/models tests/partitions tests/runs \
  tests/asr/test_asr_graphs.py tests/asr/test_asr_on_cuda.py tests/training/test_checkpoint.py \
  tests/training/test_parallel_on_cuda.py tests/features/ivector/test_extraction.py
.venv-next/made: requirements/next.txt setup.py
	rm -rf .venv-next
	$(PYTHON_NEXT) -m venv .venv-next
	.venv-next/bin/pip install -q -r requirements/next.txt
	.venv-next/bin/pip install -q --no-deps -e .
	touch $@
test-next: .venv-next/made
	.venv-next/bin/$(PYTEST) -q -W default::DeprecationWarning -W default::FutureWarning $(PYTEST_ARGS) $(NEXT)

clean:
	rm -rf .venv .venv-modern .venv-next .venv-lhotse .venv.lock .venv-modern.lock
