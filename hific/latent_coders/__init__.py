"""What stands between a model's integers and bytes; one of them is chosen when a file is made. numpy only."""
