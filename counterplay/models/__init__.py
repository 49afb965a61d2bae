"""Networks and learned models: values that hold arrays and static integers only."""
