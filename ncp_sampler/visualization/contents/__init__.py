"""Contents of the figures as plain values, shared by the Matplotlib and the Plotly functions."""
