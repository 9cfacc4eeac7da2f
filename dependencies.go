//go:build never

// Package assay names what this parts will link, until they do.
package assay

import (
	_ "github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	_ "github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	_ "github.com/aws/aws-sdk-go-v2/config"
	_ "github.com/aws/aws-sdk-go-v2/service/kms"
	_ "github.com/digitorus/timestamp"
	_ "github.com/go-jose/go-jose/v4"
	_ "github.com/google/certificate-transparency-go"
	_ "github.com/google/certificate-transparency-go/ctutil"
	_ "github.com/google/certificate-transparency-go/tls"
	_ "github.com/google/certificate-transparency-go/x509"
	_ "github.com/miekg/pkcs11"
	_ "github.com/sigstore/sigstore-go/pkg/bundle"
	_ "github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	_ "github.com/sigstore/sigstore-go/pkg/root"
	_ "github.com/sigstore/sigstore-go/pkg/sign"
	_ "github.com/sigstore/sigstore-go/pkg/testing/ca"
	_ "github.com/sigstore/sigstore-go/pkg/testing/data"
	_ "github.com/sigstore/sigstore-go/pkg/tuf"
	_ "github.com/sigstore/sigstore-go/pkg/verify"
	_ "github.com/spiffe/go-spiffe/v2/workloadapi"
	_ "github.com/theupdateframework/go-tuf/v2/metadata"
	_ "golang.org/x/oauth2"
	_ "golang.org/x/oauth2/google"
	_ "k8s.io/client-go/rest"
	_ "k8s.io/client-go/tools/clientcmd"
)
