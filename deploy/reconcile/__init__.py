"""`tidegate reconcile`: reads the topics, and proves or refutes what tidegate promises.

run.py       the whole of it on one page
since.py     from where on, as it is typed
cluster.py   what there is to read: partitions, offsets, settings
watch.py     the group's offsets, again and again
read.py      records, read-committed, up to a given end
facts.py     what a record says, as numbers
books.py     what was read, in bounded memory
ledger.py      a byte for each offset of the comments
spill.py       the rest, on disk
scope.py     which offsets must, may and must not have an outcome
memory.py    what a topic may have forgotten by itself
stories.py   the rules that go key by key
places.py    the rules that go offset by offset
findings.py  what was found
report.py    how it is said
"""
