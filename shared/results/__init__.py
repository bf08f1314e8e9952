"""What runs return: results, the table of seeds that is read from them, traces of replays."""
