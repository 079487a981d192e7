"""The paper's studies repeated on the public tables, beside the figures that it prints."""
