// Run by the image of MongoDB when its data directory is new: v2m's user.
db.getSiblingDB("admin").createUser({
    user: "v2m",
    pwd: require("fs").readFileSync("/run/secrets/mongo-password", "utf8").trim(),
    roles: ["videos", "mp3s", "v2m"].map(name => ({ role: "readWrite", db: name })),
});
