"""Contents of figures as plain values, for both Matplotlib and Plotly."""
