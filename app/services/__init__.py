"""The verbs: one use case a module, each a frozen dataclass that holds ports."""
