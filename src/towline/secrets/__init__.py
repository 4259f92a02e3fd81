"""The values that stores are reached with: made once, kept where only their owner reads them."""
