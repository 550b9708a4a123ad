-- for wrk: each request is a POST
wrk.method = "POST"
