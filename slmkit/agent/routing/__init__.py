"""When to ask the large model: signals, scores and thresholds, learnt on one split and tested on another."""
