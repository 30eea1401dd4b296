"""A small model made a specialist: LoRA and its rivals, the gates that make the result believable, export."""
