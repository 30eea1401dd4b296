"""What goes wrong, on purpose: tools that break, runs that are killed, strangers who give instructions."""
