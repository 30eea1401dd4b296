"""slmkit: test the claims of "Small Language Models are the Future of Agentic AI" end to end.

A helper package under the notebooks in `notebooks/`: a folder for each argument, a ground floor for what they
share. Importing it costs nothing; each module loads its own libraries when it is used.
"""

__version__ = "0.1.0"
