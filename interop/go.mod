module github.com/quicproquo/qpq/interop

go 1.26.0

require github.com/quicproquo/qpq v0.0.0

require (
	filippo.io/edwards25519 v1.2.0 // indirect
	github.com/bwesterb/go-ristretto v1.2.4 // indirect
	github.com/cloudflare/circl v1.6.5 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace github.com/quicproquo/qpq => ../
