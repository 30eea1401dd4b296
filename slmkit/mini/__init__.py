"""Our own small models: a corpus made from data files, a tokenizer and chat template, pre-training."""
