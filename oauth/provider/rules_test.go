package provider_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// rules says which tests show each rule of SECURITY §§2 to 8: a package, and its tests.
// Those of this package run on both databases, and on PostgreSQL over two replicas.
func rules() map[string][]string {
	return map[string][]string{
		// Authorization endpoint and redirects.
		"AZ1": {"oauth TestMatchRedirect FuzzMatchRedirect", "oauth/provider TestRedirectSpellings TestAuthorizePages TestRedeemRefuses", "e2e TestWayBack"},
		"AZ2": {"oauth TestCheckURI FuzzCheckURI TestValidateClientRefuses TestProtocolMembers", "oauth/provider TestAddressesOfStrangers TestStrangersAdmitNobody", "oauth/register FuzzURIs"},
		"AZ3": {"oauth/provider TestAuthorizePages TestStrangersLeadNowhere TestRequestObjectRefused"},
		"AZ4": {"authn TestOwnPath FuzzOwnPath", "oauth/provider TestPostLogoutTargets TestEndSession", "server FuzzBack"},
		"AZ5": {"oauth/provider TestOnlyCode TestAuthorizeErrors TestPushErrors TestSignedAnswerAlgorithm", "oauth/framework TestDefaultsAreOverridden"},
		"AZ6": {"oauth/provider TestStateIsOptional TestAuthorizeErrors TestFormPost TestSignedAnswer TestMetadata"},
		"AZ7": {"oauth/provider TestWholeFlow TestAuthorizePost TestEndSessionByHand", "authn TestPasswordAndCode"},
		// Codes, PKCE, PAR, request objects.
		"CO1": {"oauth/provider TestAuthorizeErrors TestPushErrors TestWrongVerifierEndsTheCode TestVerifierLengths TestProfiles"},
		"CO2": {"oauth/provider TestRedeemRefuses TestOneRedeemerWins TestCodeIsBoundToItsKey TestNarrowedClient"},
		"CO3": {"oauth/provider TestPush TestPushErrors TestPushedHandle TestPushedHandleRace TestPushingIsHeld TestOnce"},
		"CO4": {"oauth/jar TestRead TestParameters TestMalformed FuzzRead FuzzParameters", "oauth/provider TestRequestObject TestRequestObjectRefused TestSigningIsHeld TestAuthorizeErrors"},
		"CO5": {"oauth/provider TestOnlyCode TestExchangeRefuses TestStrangersAdmitNobody TestDeviceGrantIsOff TestDeviceBeginRefuses TestDeviceTokenRefuses TestDeviceConsentIsAlwaysAsked " +
			"TestUserCodesAreNotGuessed TestOnePollWins", "oauth TestOffer"},
		// Client authentication.
		"CA1": {"oauth/provider TestClientAuthentication TestCertificateAuthentication", "oauth/clientauth TestBasic FuzzBasic TestCertificates"},
		"CA2": {"oauth/provider TestClientAuthentication TestAssertionAudience TestAssertionOnceEverywhere TestForgedAssertionBurnsNothing TestOnce", "oauth/clientauth TestAssertionOnce"},
		"CA3": {"oauth/clientauth TestAssertionKeys TestAssertionByURI", "oauth/provider TestKeysByURI", "internal/jose TestEmbeddedKey TestAlgorithmConfusion"},
		"CA4": {"oauth TestSecrets TestKeyed", "oauth/provider TestGuesses TestReplaysAreNoGuesses TestSuspendedClientIsNobody TestSuspendedClientsStayOut TestUpdateBesideWithdrawal TestClientTokenAfterSuspension",
			"storage TestADumpTellsNothing TestUpdateClient", "oauth/registry TestRegistry"},
		"CA5": {"oauth/provider TestNamesOfClients TestStrangersAdmitNobody TestRegistrationOfAClient TestAddressesOfStrangers", "oauth FuzzValidateClient"},
		// Tokens.
		"TK1": {"oauth/provider TestRefresh TestRefreshOffline TestRotation TestOneRefreshWins TestPublicRefreshTokenIsBound TestAProofDoesNotStopRotation TestWhatEndsTokens TestLostPhone TestResourceOfTheGrant"},
		"TK2": {"oauth/provider TestIntrospection TestSignedIntrospection TestIntrospectionAlgs TestUserTokenIsNoCredential"},
		"TK3": {"oauth/provider TestRevocation TestNothingWithoutTheDatabase TestAnOldRefreshTokenRevokes TestRevocationUsesTheAssertionUp", "storage TestReadOnlyPostgreSQLSaysSo TestReadOnlySQLiteSaysSo"},
		"TK4": {"oauth/provider TestUserinfoRefuses TestOurSignatureIsNotEnough TestForgedTokens TestUserTokenIsNoCredential", "oauth/issue TestHandles TestTokens", "oauth/userinfo FuzzAuthorization", "rp TestJWT TestCredentials"},
		"TK5": {"oauth/provider TestDelegation TestExchangeRefuses TestExchangedTokenDiesWithItsSubject TestExchangedTokenEndsWithItsSubject TestExchangeKeepsTheBinding TestExchangeGoesSoFar TestExchangeBesideRevocation"},
		// DPoP and mTLS.
		"SC1": {"oauth/dpop TestVerify TestHeader TestAlgorithms TestVectors FuzzVerify", "oauth/provider TestPushedKey TestBoundClientsGetNoBearerTokens TestUserinfoWithProof"},
		"SC2": {"oauth/dpop TestReplay", "oauth/provider TestProofAtTheAlias TestAProofIsGoodOnce TestOnce TestOneProofWins TestOneProofWinsAtUserinfo TestPushedOnce TestRequiredNonce"},
		"SC3": {"oauth/provider TestProofBindsTheTokens TestBoundClientsGetNoBearerTokens TestBoundClientExchanges TestPublicRefreshTokenIsBound TestCodeIsBoundToItsKey TestPushedKey TestUserinfoWithProof " +
			"TestExchangeKeepsTheBinding TestUserinfoWithCertificate TestCertificateBindsTheTokens", "oauth/clientauth TestBinding TestProvenKey"},
		"SC4": {"oauth/provider TestCertificateAuthentication TestUserinfoWithCertificate", "oauth/mtls TestCertificate FuzzHeader", "oauth/clientauth TestBindingByProxy", "server TestSources"},
		// OpenID.
		"OI1": {"oauth/provider TestWholeFlow TestSilent TestPromptLogin TestMaxAgeAtTheAnswer TestAuthorizeErrors TestPushedPrompt TestDetailsSilent TestUserinfoStepUp", "oauth/authorize TestNeed TestPrompt TestMaxAge TestACR"},
		"OI2": {"oauth/provider TestSilent TestIDTokenHint TestForgedTokens", "oauth/issue TestHints"},
		"OI3": {"oauth/provider TestEndSession TestEndSessionByHand TestPostLogoutTargets TestFrontChannel TestBackChannel TestEverybodyIsTold"},
		"OI4": {"oauth/provider TestStoredRequest TestPushedHandle TestPaymentForm TestIDTokenHint TestNamesOfClients TestSubjects", "authn TestTwoPeople"},
		"OI5": {"oauth/provider TestHostIsNobody TestProofAtTheAlias", "server TestHostIsNoAuthority"},
		// Keys and national cryptography.
		"KY1": {"internal/jose TestAlgorithmConfusion TestFindingTheKey TestParseRefuses TestEmbeddedKey", "oauth/clientauth TestAssertionKeys", "oauth/provider TestForgedTokens TestSigningAlgorithms"},
		"KY2": {"internal/jose TestVectorGBT32918 TestVectorSM2Octets TestSM2IsNotES256 TestSignatureEncoding TestSM2PrivateRange FuzzParse FuzzParseJWK", "oauth/provider TestNationalAnswers"},
		"KY3": {"internal/seal TestFieldIsBoundToItsPlace TestSealRefuses TestKnownAnswers TestExhaustion FuzzUnseal"},
		"KY4": {"authn/password TestHashAndVerify TestNewRefuses TestParseRefuses"},
		"KY5": {"oauth/provider TestKeys TestKeysByURI", "oauth/clientkeys TestUnknownKey TestRotation", "oauth/keyring TestRotation TestTwoReplicasRotateOnce", "internal/jose TestPlanNeverFailsAVerification", "rp TestRotation"},
	}
}

// Every rule is shown by a test that is there.
func TestRules(t *testing.T) {
	there := testsOf(t, filepath.Join("..", ".."))
	shown := rules()
	var missing []string
	for chapter, n := range map[string]int{"AZ": 7, "CO": 5, "CA": 5, "TK": 5, "SC": 4, "OI": 5, "KY": 5} {
		for i := range n {
			name := fmt.Sprint(chapter, i+1)
			tests := 0
			for _, line := range shown[name] {
				words := strings.Fields(line)
				for _, test := range words[1:] {
					if !there[words[0]+" "+test] {
						t.Errorf("%s: there is no %s in %s", name, test, words[0])
					}
					tests++
				}
			}
			if tests == 0 {
				missing = append(missing, name)
			}
			delete(shown, name)
		}
	}
	slices.Sort(missing)
	if len(missing) > 0 {
		t.Errorf("nothing shows %v", missing)
	}
	if len(shown) > 0 {
		t.Errorf("no such rules: %v", shown)
	}
}

var testName = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(`)

// testsOf finds the tests of the module: "package Test".
func testsOf(t *testing.T, root string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if name := d.Name(); path != root && (strings.HasPrefix(name, ".") && name != ".." || name == "node_modules") {
				return fs.SkipDir
			}
			return nil
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, m := range testName.FindAllSubmatch(content, -1) {
			found[filepath.ToSlash(dir)+" "+string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
