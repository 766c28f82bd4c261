"""The documentation: pages in Markdown, and in `generator/` what turns them and the code into a site."""
