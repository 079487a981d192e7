"""The paper's studies, repeated on the public tables and compared with its figures."""
