//! The HTTP contract: AN3968's paths and form fields, kept, and what this project adds to them.

/// Login page.
pub const PATH_ROOT: &str = "/";
/// `POST` of the login form: [`FIELD_USER`] and [`FIELD_PASSWORD`] as `application/x-www-form-urlencoded`.
pub const PATH_LOGIN: &str = "/checklogin.cgi";
/// `POST` of the image: `multipart/form-data` with the file in [`FIELD_FILE`], or raw `application/octet-stream`.
pub const PATH_UPLOAD: &str = "/upload.cgi";
/// `POST` resets the board.
pub const PATH_RESET: &str = "/resetmcu.cgi";
/// `GET` of [`crate::status::Status`].
pub const PATH_STATUS: &str = "/status.json";
/// `POST` ends the session.
pub const PATH_LOGOUT: &str = "/logout.cgi";
/// Form field of the login.
pub const FIELD_USER: &str = "username";
/// Form field of the login.
pub const FIELD_PASSWORD: &str = "password";
/// Form field of the upload.
pub const FIELD_FILE: &str = "datafile";
/// Name of the session cookie.
pub const COOKIE: &str = "iap-session";
/// The well-known default login.
pub const DEFAULT_USER: &str = "user";
/// The well-known default login.
pub const DEFAULT_PASSWORD: &str = "stm32";
/// With `Accept: application/json`, answers to POST requests are `{"code":N,"text":"..."}`, a [`crate::error::RefusalReport`] with
/// code 0 for success; browsers get pages.
pub const MEDIA_JSON: &str = "application/json";
/// Header that carries the number of the [`crate::ErrorCode`] in every refusal, JSON or page.
pub const HEADER_CODE: &str = "x-iap-code";
/// Longest multipart boundary (RFC 2046 section 5.1.1).
pub const MAX_BOUNDARY_LEN: usize = 70;
