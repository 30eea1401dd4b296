"""What a token and a solved task cost: hardware and price catalogue, roofline, deployment, validation."""
