"""An adapter for Falcon, as docs/guides/your-framework.md explains it."""
