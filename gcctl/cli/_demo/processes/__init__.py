"""What runs in processes of its own: the server and its client, the reading of files, the batch.

May import the packages of gcctl, and nothing of the demo but what is in this folder.
"""
