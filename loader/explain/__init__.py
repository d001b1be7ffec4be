"""The life of one record, from its line in the file to the API's last answer."""
