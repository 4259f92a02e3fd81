"""The deployment docs of one target, a module for each page and each part of one."""
