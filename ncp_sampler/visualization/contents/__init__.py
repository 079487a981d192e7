"""Contents of figures as plain values, which Matplotlib and Plotly draw."""
