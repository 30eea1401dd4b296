"""The businesses of the agent world; both are kept out of the minis' corpus (`data/mini/corpus/held_out.yaml`)."""
