"""The experiments of notebook 04, a module a question, each with tidy tables in and out."""
