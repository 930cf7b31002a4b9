"""From AWS service models to Rust: what tools/generate_operations.py writes, one file per kind of text."""
