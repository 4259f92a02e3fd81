"""What turns a prompt into a picture: the landscape painter, or an image API over HTTP."""
