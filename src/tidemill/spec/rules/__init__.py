"""What a schema cannot say: rules over one document and the files around it. Each yields findings; none raises."""
