CREATE TABLE link (id INT AUTO_INCREMENT PRIMARY KEY, url VARCHAR(200));
INSERT INTO link (url) VALUES ('https://example.com/first');
