# The shipped bundle, from labelled files to a folder that a worker loads: make bundle
#
# Two members that learn with different losses, the mean of their weights, what the two say together
# of every comment, and one student that begins at the mean and learns from that. A step that was
# stopped goes on when the command is given again. DATA is where the files lie (their sources:
# docs/training.md), OUT where bundles go. On two cores OMP_NUM_THREADS=1 make -j2 bundle has the
# members side by side.
DATA ?= ../shared/data
OUT ?= runs/shipped
NAME ?= tide-7
TRAIN = $(BIN)/tidegate train $(SIX)

SIX := $(foreach file,jigsaw-six-labels jigsaw-six-labels-more jigsaw-partial-labels,--data $(DATA)/$(file).csv)
PARTLY := --data $(DATA)/civil-partial-labels.csv@0.3
MORE := $(DATA)/kaggle-insults-2012.csv

.PHONY: bundle
bundle: $(OUT)/report/report.json  ## train the bundle that is shipped, and judge it (DATA=… OUT=…)

$(OUT)/focal/bundle.json $(OUT)/asymmetric/bundle.json: $(OUT)/%/bundle.json: | $(VENV)/full
	$(TRAIN) --loss $* --epochs 2 --evaluations 4 --name $* --out $(OUT)/$*

MEMBERS := $(OUT)/focal $(OUT)/asymmetric

$(OUT)/mean/bundle.json: $(MEMBERS:=/bundle.json)
	$(BIN)/tidegate average $(MEMBERS) $(SIX) --name mean --out $(OUT)/mean

$(OUT)/teacher.parquet: $(MEMBERS:=/bundle.json)
	$(BIN)/tidegate ensemble $(MEMBERS) $(SIX) $(PARTLY) --unlabelled $(MORE) --out $@

$(OUT)/$(NAME)/bundle.json: $(OUT)/mean/bundle.json $(OUT)/teacher.parquet
	$(TRAIN) $(PARTLY) --base $(OUT)/mean --teacher $(OUT)/teacher.parquet --learning-rate 6e-5 --head-factor 1 \
	  --disguise 0.4 --balance-identities --epochs 1 --evaluations 4 --name $(NAME) --out $(OUT)/$(NAME)

# Without what is in float, as it is shipped.
$(OUT)/bundle/bundle.json: $(OUT)/$(NAME)/bundle.json
	$(BIN)/python -c 'from pathlib import Path; from trainer.export import ship; ship(Path("$(OUT)/$(NAME)"), Path("$(OUT)/bundle"))'

$(OUT)/report/report.json: $(OUT)/bundle/bundle.json
	$(BIN)/tidegate evaluate $(OUT)/bundle $(SIX) $(PARTLY) --rows held-out --baseline \
	  --bias $(DATA)/bias-madlibs-77k.csv --perspective $(DATA)/perspective-scores-wikipedia.csv \
	  --against deploy/bundle --write --out $(OUT)/report
	@touch $@  # what was measured is in the bundle now, which is newer for it
