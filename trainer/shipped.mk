# The shipped bundle, by one command: `make bundle`. Members that learnt in different ways, the
# mean of their weights, what they say together, and one model that begins at the first and learns
# from the second. EXPERIMENTS.md has the figures behind each step; an hour and more on two cores.
#
# What is there is not made again, and a training that was ended goes on from its checkpoint.
DATA ?= $(or $(TIDEGATE_DATA),../shared/data)
OUT ?= runs/shipped
SHIPPED := tide-7

SIX := $(addprefix $(DATA)/,jigsaw-six-labels.csv jigsaw-six-labels-more.csv jigsaw-partial-labels.csv)
WIDE := $(DATA)/civil-partial-labels.csv
TOXIC_ONLY := $(DATA)/jigsaw-toxic-only.csv
TYPES := $(DATA)/civil-toxic-types.csv
UNLABELLED := $(DATA)/kaggle-insults-2012.csv
BIAS := $(DATA)/bias-madlibs-77k.csv
PERSPECTIVE := $(DATA)/perspective-scores-wikipedia.csv

ON_SIX := $(addprefix --data ,$(SIX))
ON_WIDE := $(ON_SIX) --data $(WIDE)@0.3
ON_ALL := $(ON_WIDE) --data $(TOXIC_ONLY)@0.5 --data $(TYPES)@0.2
MEMBERS := focal asymmetric wide
BUNDLES := $(addprefix $(OUT)/,$(MEMBERS))
MEMBER := --evaluations 4

.PHONY: bundle
.NOTPARALLEL:  # a training uses every core there is

bundle: $(OUT)/report/report.json  ## train the shipped bundle anew, to OUT/bundle (DATA=folder OUT=runs/shipped)
	@echo "$(OUT)/bundle is $(SHIPPED); $(OUT)/report/report.html says what it can do" >&2

$(OUT)/focal/bundle.json: $(SIX) | $(VENV)/full
	$(BIN)/tidegate train $(ON_SIX) --loss focal --epochs 2 $(MEMBER) --name focal --out $(@D)

$(OUT)/asymmetric/bundle.json: $(SIX) | $(VENV)/full
	$(BIN)/tidegate train $(ON_SIX) --loss asymmetric --epochs 2 $(MEMBER) --name asymmetric --out $(@D)

$(OUT)/wide/bundle.json: $(SIX) $(WIDE) | $(VENV)/full
	$(BIN)/tidegate train $(ON_WIDE) --loss focal --epochs 1 $(MEMBER) --name wide --out $(@D)

$(OUT)/mean/bundle.json: $(BUNDLES:=/bundle.json)
	$(BIN)/tidegate average $(BUNDLES) $(ON_WIDE) --name mean --out $(@D)

$(OUT)/teacher.parquet: $(BUNDLES:=/bundle.json) $(UNLABELLED)
	$(BIN)/tidegate ensemble $(BUNDLES) $(ON_WIDE) --unlabelled $(UNLABELLED) --out $@

$(OUT)/$(SHIPPED)/bundle.json: $(OUT)/mean/bundle.json $(OUT)/teacher.parquet
	$(BIN)/tidegate train $(ON_WIDE) --base $(OUT)/mean --teacher $(OUT)/teacher.parquet \
	  --learning-rate 6e-5 --head-factor 1 --disguise 0.4 --balance-identities \
	  --epochs 1 $(MEMBER) --name $(SHIPPED) --out $(@D)

# As it goes into git: without the 90 MB in float, and with what was measured written into it. The
# bag of words beside it learns from every file.
$(OUT)/report/report.json: $(OUT)/$(SHIPPED)/bundle.json $(TOXIC_ONLY) $(TYPES) $(BIAS) $(PERSPECTIVE)
	$(BIN)/python -c 'import sys; from pathlib import Path; from trainer.export import ship; ship(*map(Path, sys.argv[1:]))' $(OUT)/$(SHIPPED) $(OUT)/bundle
	$(BIN)/tidegate evaluate $(OUT)/bundle $(ON_ALL) --rows held-out --baseline \
	  --bias $(BIAS) --perspective $(PERSPECTIVE) --against deploy/bundle --write --out $(@D)

$(DATA)/%.csv:
	@echo "$@ is not here: DATA names the folder of the labelled comments" >&2; exit 1
