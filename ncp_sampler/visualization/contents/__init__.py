"""What figures show, as values: computed here once, drawn by Matplotlib and by Plotly."""
