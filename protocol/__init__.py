"""Messages, channels and endpoints: how processes of a cluster talk. Imports nothing of the layers above."""
