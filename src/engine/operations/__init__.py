"""What an operator asks of a deployed stack and does to it; knows no terminal. Not deployed."""
