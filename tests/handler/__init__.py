"""The handler, judged part by part and as a whole on the twins in memory."""
