"""The operations, one file a family; each rule stands directly beneath its forward."""
