"""Rivals of supervised fine-tuning on given answers: distillation, preferences with a verifiable reward, many tasks."""
