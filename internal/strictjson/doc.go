// Package strictjson takes apart the JSON that strangers send (RFC 8259). What
// encoding/json lets pass is refused here, because two readers of such a document
// may believe different things (SECURITY G8; RFC 8259 §4, RFC 7515 §4):
//
//   - a name that one object has twice, at any depth;
//   - names that differ in letter case only, since encoding/json fills one struct
//     field from both ([Limits.Twins] says where two such names are two);
//   - bytes that are not UTF-8, and half a surrogate pair, which decodes to U+FFFD
//     whatever it was;
//   - anything after the document, a document that is no object, too many bytes,
//     too many levels.
//
// [Limits.Object] gives the members as they stand, for rooms that ignore what they
// do not know. [Limits.Fields] is for protocols in which every member is expected:
// an unknown one is refused, and each is read as exactly the type it has to be.
//
// The rooms set the limits, give the errors their own kind, and say what a member
// means. Base64url, dates and keys are theirs, too.
package strictjson
