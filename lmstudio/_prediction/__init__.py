"""_prediction."""
