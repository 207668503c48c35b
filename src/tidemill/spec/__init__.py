"""YAML → immutable documents with places; never touches the network."""
