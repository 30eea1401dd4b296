"""The cascade as an OpenAI-compatible endpoint, its log, and what the log says of the models' agreement."""
