"""Entry for `accelerate launch -m slmkit.specialization BASE TRAIN.jsonl VALIDATION.jsonl --out DIR`."""

from __future__ import annotations

from slmkit.specialization.launch import main

if __name__ == "__main__":
    main()
