"""Context models: what is coded when, which neighbors are known then, what they say of a symbol. numpy only."""
